-- one row per scored attribute at a stage: the mean of its score over the stage's mass (harm), samples without a score
-- (unscored); and over the units that have one, their number, and of masses in parts of the heaviest unit's: the sum, the
-- squares, and the deviations from the mean, mass × (score − harm), squared (second) and to the fourth (fourth)
-- sums are of whole numbers, of 2^-24 and 2^-60: the order of rows does not matter
with scored as (
    select score.attribute, stage.unit, stage.mass, cast(round(score.score * stage.mass) as bigint) as harm
    from score
    join stage using (sample)
),

average as (
    select
        attribute,
        sum(harm) / nullif(sum(if(harm is null, 0, mass)), 0) as harm,
        count(*) filter (where harm is null) as unscored
    from scored
    group by attribute
),

unit as (
    select attribute, unit, sum(mass) as mass, sum(harm) as harm
    from scored
    where harm is not null
    group by attribute, unit
),

part as (
    -- one row per scored attribute and unit
    select
        unit.attribute,
        unit.mass / max(unit.mass) over (partition by unit.attribute) as mass,
        (unit.harm - average.harm * unit.mass) / max(unit.mass) over (partition by unit.attribute) as deviation
    from unit
    join average using (attribute)
),

summed as (
    select
        attribute,
        count(*) as units,
        sum(cast(round(mass * pow(2, 60)) as hugeint)) as mass,
        sum(cast(round(pow(mass, 2) * pow(2, 60)) as hugeint)) as squares,
        sum(cast(round(pow(deviation, 2) * pow(2, 60)) as hugeint)) as second,
        sum(cast(round(pow(deviation, 4) * pow(2, 60)) as hugeint)) as fourth
    from part
    group by attribute
)

select
    average.attribute,
    average.harm,
    average.unscored,
    coalesce(summed.units, 0) as units,
    coalesce(cast(summed.mass as double), 0) / pow(2, 60) as mass,
    coalesce(cast(summed.squares as double), 0) / pow(2, 60) as squares,
    coalesce(cast(summed.second as double), 0) / pow(2, 60) as second,
    coalesce(cast(summed.fourth as double), 0) / pow(2, 60) as fourth
from average
left join summed using (attribute)
order by average.attribute
