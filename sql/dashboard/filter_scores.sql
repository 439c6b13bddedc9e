-- one row a state and bin of the score, of $bins equal bins from 0 to 1: how many samples
-- labelled samples are counted again, by the score that a model gave them which had not seen them
with scored as (
    select
        case
            when verdict <> 'filtered' then 'let through'
            when contains('; ' || reason, '; ' || $wanted || ': ') then 'filtered'
            else 'filtered for something else'
        end as state,
        score
    from decision
    where verdict <> 'quarantined' and isfinite(score)
),

counted as (
    select state, score from scored
    union all
    select if(label = 1, 'labelled yes', 'labelled no') as state, score from labelled
),

binned as (
    select state, least(cast(floor(score * $bins) as integer), $bins - 1) as bin, count(*) as samples
    from counted
    group by all
)

select
    states.state,
    bins.bin / $bins as low,
    coalesce(binned.samples, 0) as samples
from (select distinct state from binned) as states
cross join (select unnest(range($bins)) as bin) as bins
left join binned on binned.state = states.state and binned.bin = bins.bin
order by states.state, low
