-- one row per term that both sides have: how far each near-duplicate group moves the change, squared (second) and to the
-- fourth (fourth), summed over all groups
-- a group's move z is p / (1 + change) times its influence on the change (linearised ratio), p the term's reference share:
--     z = p * (subject mass with the term) / (term's mean subject mass) - (reference mass with it) / (mean reference mass)
--         + p * ((group's reference mass) / (mean reference mass) - (group's subject mass) / (mean subject mass))
-- summed are whole numbers of 2^-24: exact in a double up to 2^53, so that the order of rows does not matter
with term as (
    select term_id as term, subject / $units as mean_term, reference / $units / $mean_reference as p
    from compared
    where subject > 0 and reference > 0
),

unit as (
    select
        any_value(unit_reference) / $mean_reference - any_value(unit_subject) / $mean_subject as move
    from pool
    group by unit
),

everyone as (
    -- one row: the same sums over all groups for a term that none of them has, without its p
    select sum(round(pow(move, 2) * 16777216)) as second, sum(round(pow(move, 4) * 16777216)) as fourth
    from unit
),

moved as (
    select
        term.term,
        term.p * held.subject / term.mean_term - held.reference / $mean_reference as own,
        term.p * (held.unit_reference / $mean_reference - held.unit_subject / $mean_subject) as common
    from held
    join term using (term)
),

summed as (
    select
        term,
        sum(round((pow(own + common, 2) - pow(common, 2)) * 16777216)) as second,
        sum(round((pow(own + common, 4) - pow(common, 4)) * 16777216)) as fourth
    from moved
    group by term
)

select
    term.term as term_id,
    term.p as share,
    greatest((summed.second + pow(term.p, 2) * everyone.second) / 16777216, 0) as second,
    greatest((summed.fourth + pow(term.p, 4) * everyone.fourth) / 16777216, 0) as fourth
from term
join summed using (term)
cross join everyone
order by term_id
