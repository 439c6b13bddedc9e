-- one row per sample that either side has: the near-duplicate group (unit) it stands in, and its mass on each side
-- unit_n: samples of the unit that the reference has
-- masses are in units of 2^-24, so that sums are exact and do not depend on the order of rows
with present as (
    select sample, uid, reference, subject
    from sample
    where reference > 0 or subject > 0
),

placed as (
    select present.sample, min(near_duplicate."group") as "group"
    from present
    join near_duplicate using (uid)
    group by present.sample
),

unit as (
    select
        placed."group",
        min(present.sample) as unit,
        count(*) as unit_size,
        count(*) filter (where present.reference > 0) as unit_n,
        cast(sum(present.reference) as bigint) as unit_reference,
        cast(sum(present.subject) as bigint) as unit_subject
    from present
    join placed using (sample)
    group by placed."group"
)

select
    present.sample,
    coalesce(unit.unit, present.sample) as unit,
    coalesce(unit.unit_size, 1) as unit_size,
    coalesce(unit.unit_n, (present.reference > 0)::integer) as unit_n,
    present.reference,
    present.subject,
    coalesce(unit.unit_reference, present.reference) as unit_reference,
    coalesce(unit.unit_subject, present.subject) as unit_subject
from present
left join placed using (sample)
left join unit using ("group")
