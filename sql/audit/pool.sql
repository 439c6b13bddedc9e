-- one row per usable sample: the near-duplicate group (unit) it stands in, what became of it, its weight
-- weights are counted in units of 2^-24, so that sums are exact and do not depend on the order of rows
with usable as (
    select
        sample,
        uid,
        verdict <> 'filtered' as unfiltered,
        verdict = 'kept' as kept,
        if(verdict = 'kept', cast(round(coalesce(weight, 0) * 16777216) as bigint), 0) as mass
    from sample
    where verdict <> 'quarantined'
),

placed as (
    select usable.sample, min(near_duplicate."group") as "group"
    from usable
    join near_duplicate using (uid)
    group by usable.sample
),

unit as (
    select
        placed."group",
        min(usable.sample) as unit,
        count(*) as unit_size,
        cast(sum(usable.mass) as bigint) as unit_mass
    from usable
    join placed using (sample)
    group by placed."group"
)

select
    usable.sample,
    coalesce(unit.unit, usable.sample) as unit,
    coalesce(unit.unit_size, 1) as unit_size,
    usable.unfiltered,
    usable.kept,
    usable.mass,
    coalesce(unit.unit_mass, usable.mass) as unit_mass
from usable
left join placed using (sample)
left join unit using ("group")
