-- one row: the pool's sizes, the mass of its weights (units of 2^-24), and how many different words its captions hold
select
    count(*) as n_pool,
    count(distinct unit) as n_units,
    cast(count_if(unfiltered) as bigint) as n_after_filter,
    cast(count_if(kept) as bigint) as n_kept,
    cast(coalesce(sum(mass), 0) as bigint) as mass,
    (select count(*) from counted where term < $words) as words
from pool
