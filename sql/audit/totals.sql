-- one row: the pool's sizes, the mass of its weights (units of 2^-24), and how many different words its captions hold
select
    count(*) as n_pool,
    count(distinct unit) as n_units,
    count(*) filter (where unfiltered) as n_after_filter,
    count(*) filter (where kept) as n_kept,
    cast(coalesce(sum(mass), 0) as bigint) as mass,
    (select count(*) from counted where term < $words) as words
from pool
