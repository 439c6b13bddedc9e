-- one row a verdict with its stage and reason: how many samples have it, the kept first
select verdict, stage, reason, count(*) as samples
from decision
group by verdict, stage, reason
order by verdict <> 'kept', samples desc, verdict, stage, reason
