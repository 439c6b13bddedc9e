-- one row: how much did the filter remove?
select
    coalesce(
        count(*) filter (where verdict = 'filtered') / nullif(count(*) filter (where verdict <> 'quarantined'), 0), 0
    ) as filtered_share
from decision
