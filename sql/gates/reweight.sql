-- one row: can a trainer use the weights?
with weighted as (
    select weight
    from decision
    where verdict = 'kept'
)
select
    count(*) filter (where weight is null or not isfinite(weight) or weight <= 0) as weights_unusable,
    (select count(*) from decision where verdict <> 'kept' and weight is not null) as weights_of_removed,
    avg(weight) as weight_mean,
    sum(weight) * sum(weight) / nullif(sum(weight * weight), 0) / nullif(count(*), 0) as effective_sample_share
from weighted
