-- one row a move: from which verdict (null: not there), stage and reason to which, how many samples, the largest first
-- what stayed where it was has a row, too
select
    verdict_before, stage_before, reason_before, verdict_after, stage_after, reason_after,
    count(*) as samples,
    count(*) filter (where weight_before is distinct from weight_after) as weights_changed
from paired
group by verdict_before, stage_before, reason_before, verdict_after, stage_after, reason_after
order by samples desc, verdict_before, verdict_after, stage_after, reason_after, stage_before, reason_before
