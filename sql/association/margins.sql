-- one row per set at a stage: samples, mass, and over units the mass squared (squares) and times the unit's mass (crossed)
-- masses and products are in units of 2^-24
select
    "group",
    cast(sum(samples) as bigint) as samples,
    cast(sum(mass) as bigint) as mass,
    cast(sum(cast(round(cast(mass as double) * mass / 16777216) as bigint)) as bigint) as squares,
    cast(sum(cast(round(cast(mass as double) * unit_mass / 16777216) as bigint)) as bigint) as crossed
from held
group by "group"
order by "group"
