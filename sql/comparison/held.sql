-- one row per term and near-duplicate group with it, of samples alone in their group one row each
-- n_*: captions with the term; reference, subject: their mass; unit_*: the mass of the whole group
select
    token.term,
    1 as n,
    (pool.reference > 0)::integer as n_reference,
    (pool.subject > 0)::integer as n_subject,
    (pool.reference > 0 and pool.subject > 0)::integer as n_both,
    pool.unit_n,
    pool.reference,
    pool.subject,
    pool.unit_reference,
    pool.unit_subject
from token
join pool using (sample)
where pool.unit_size = 1
union all
select
    token.term,
    count(*) as n,
    count(*) filter (where pool.reference > 0) as n_reference,
    count(*) filter (where pool.subject > 0) as n_subject,
    count(*) filter (where pool.reference > 0 and pool.subject > 0) as n_both,
    any_value(pool.unit_n) as unit_n,
    cast(sum(pool.reference) as bigint) as reference,
    cast(sum(pool.subject) as bigint) as subject,
    any_value(pool.unit_reference) as unit_reference,
    any_value(pool.unit_subject) as unit_subject
from token
join pool using (sample)
where pool.unit_size > 1
group by token.term, pool.unit
