-- one row per sample that a stage has: its near-duplicate group (unit), its mass there, and its unit's mass
-- pool and after_filter count a unit once, in equal parts by its members there; kept counts samples, weighted their weights
-- masses are in units of 2^-24, so that sums are exact and do not depend on the order of rows
with there as (
    select
        sample,
        unit,
        case $stage
            when 'pool' then true
            when 'after_filter' then unfiltered
            when 'kept' then kept
            else mass > 0
        end as present,
        mass
    from pool
),

shared as (
    select
        sample,
        unit,
        case $stage
            when 'kept' then 16777216
            when 'weighted' then mass
            else cast(round(16777216 / count(*) over (partition by unit)) as bigint)
        end as mass
    from there
    where present
)

select sample, unit, cast(mass as bigint) as mass, cast(sum(mass) over (partition by unit) as bigint) as unit_mass
from shared
