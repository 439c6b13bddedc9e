-- one row a bin of the kept samples' weights, of $bins equal bins from 0 to $most, the last of which holds $most
select
    least(cast(floor(weight / $most * $bins) as integer), $bins - 1) as bin,
    count(*) as samples
from decision
where verdict = 'kept' and weight is not null
group by bin
order by bin
