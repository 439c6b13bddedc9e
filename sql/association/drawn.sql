-- one row per sample of a draw, with its label (null: none yet): the first ones of their stratum's order, without a gap,
-- that the labels' file has, as many as were drawn at most; what it has beyond them was not drawn
with given as (
    select
        ordered.attribute,
        ordered.stratum,
        ordered.sample,
        ordered.place,
        label.label,
        row_number() over (partition by ordered.attribute, ordered.stratum order by ordered.place) as number
    from ordered
    join label using (attribute, sample)
)

select given.attribute, given.stratum, given.sample, given.label
from given
join planned using (attribute, stratum)
where given.place = given.number and given.place <= planned.drawn
order by given.attribute, given.stratum, given.place
