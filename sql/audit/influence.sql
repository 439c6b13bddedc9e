-- one row per audited term that has weight: how far each near-duplicate group moves the weighted change, squared (second)
-- and to the fourth (fourth), summed over all groups
-- a group's move z is p / (1 + change) times its influence on the change (linearised ratio), p the term's share of the groups:
--     z = p * $units * (mass with the term) / (term's mass) - p * (group's mass) / (mean mass) - (part that has it) + p
-- summed are whole numbers of 2^-24: exact in a double up to 2^53, so that the order of rows does not matter
with term as (
    select term_id as term, mass, reference / 16777216 as reference, reference / 16777216 / $units as p
    from audited
    where mass > 0
),

unit as (
    select unit, any_value(unit_mass) as unit_mass
    from pool
    group by unit
),

everyone as (
    -- one row: the same sums over all groups for a term that none of them has, without its p
    select
        sum(round(pow(1 - unit_mass / $mean_mass, 2) * 16777216)) as second,
        sum(round(pow(1 - unit_mass / $mean_mass, 4) * 16777216)) as fourth
    from unit
),

held as (
    -- one row per term and near-duplicate group with it
    select token.term, pool.mass, pool.unit_mass, cast(1 as double) as part
    from token
    join pool using (sample)
    where pool.unit_size = 1
    union all
    select
        token.term,
        cast(sum(pool.mass) as bigint) as mass,
        any_value(pool.unit_mass) as unit_mass,
        count(*) / any_value(pool.unit_size) as part
    from token
    join pool using (sample)
    where pool.unit_size > 1
    group by token.term, pool.unit
),

moved as (
    select
        term.term,
        pow(term.reference * (held.mass / term.mass) - held.part + term.p * (1 - held.unit_mass / $mean_mass), 2) as has,
        pow(term.p * (1 - held.unit_mass / $mean_mass), 2) as lacks
    from held
    join term using (term)
),

summed as (
    select
        term,
        sum(round((has - lacks) * 16777216)) as second,
        sum(round((has * has - lacks * lacks) * 16777216)) as fourth
    from moved
    group by term
)

select
    term.term as term_id,
    greatest((summed.second + pow(term.p, 2) * everyone.second) / 16777216, 0) as second,
    greatest((summed.fourth + pow(term.p, 4) * everyone.fourth) / 16777216, 0) as fourth
from term
join summed using (term)
cross join everyone
order by term_id
