-- one row: a stage's mass over all units, the same squared, and the largest mass of a unit; in units of 2^-24
with unit as (
    select unit, any_value(unit_mass) as mass
    from stage
    group by unit
)

select
    cast(coalesce(sum(mass), 0) as bigint) as mass,
    cast(coalesce(sum(cast(round(cast(mass as double) * mass / 16777216) as bigint)), 0) as bigint) as squares,
    cast(coalesce(max(mass), 0) as bigint) as largest
from unit
