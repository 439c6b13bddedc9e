-- one row: how many samples each side has, how many the subject left out or let in, units, and the masses (of 2^-24)
-- unit_squares: samples of the reference a unit, squared and summed
select
    count(*) filter (where reference > 0) as n_reference,
    count(*) filter (where subject > 0) as n_subject,
    count(*) filter (where reference > 0 and subject = 0) as n_left,
    count(*) filter (where reference = 0) as n_entered,
    count(distinct unit) as units,
    cast(coalesce(sum(if(reference > 0, unit_n, 0)), 0) as bigint) as unit_squares,
    cast(coalesce(sum(reference), 0) as bigint) as reference,
    cast(coalesce(sum(subject), 0) as bigint) as subject
from pool
