-- one row per term that a usable caption has: captions with it in the pool, after the filter, among the kept, and their mass
-- n_units: near-duplicate groups with it; reference: the same, of a group the part of its captions that has it
-- mass and reference are in units of 2^-24
-- squares: captions with the term a near-duplicate group, squared and summed (for the design effect)
-- kept_squares: the same of kept captions; equals n_kept where no group keeps two of them
-- crossed: captions with the term times the size of their near-duplicate group, summed
with held as (
    -- one row per term and near-duplicate group; samples alone in their group count together as group -1
    select
        token.term,
        if(pool.unit_size = 1, -1, pool.unit) as unit,
        any_value(pool.unit_size) as unit_size,
        count(*) as n_pool,
        count(*) filter (where pool.unfiltered) as n_after_filter,
        count(*) filter (where pool.kept) as n_kept,
        sum(pool.mass) as mass
    from token
    join pool using (sample)
    group by all
)

select
    term,
    cast(sum(n_pool) as bigint) as n_pool,
    cast(sum(if(unit = -1, n_pool, 1)) as bigint) as n_units,
    cast(sum(cast(round(n_pool * 16777216 / unit_size) as bigint)) as bigint) as reference,
    cast(sum(n_after_filter) as bigint) as n_after_filter,
    cast(sum(n_kept) as bigint) as n_kept,
    cast(sum(mass) as bigint) as mass,
    cast(sum(if(unit = -1, n_pool, n_pool * n_pool)) as bigint) as squares,
    cast(sum(if(unit = -1, n_kept, n_kept * n_kept)) as bigint) as kept_squares,
    cast(sum(n_pool * unit_size) as bigint) as crossed
from held
group by term
