-- one row per labelled attribute and stratum at a stage: samples there (size), their mass, the largest of one without a
-- label; of those that are drawn and labelled their number, mass, and the masses' squares, and the same of positive ones
-- needed: how far into the stratum's order labels must go, for $fewest samples of this stage to be labelled
-- masses and squares are in units of 2^-24
with placed as (
    select
        ordered.attribute,
        ordered.stratum,
        ordered.place,
        stage.mass,
        cast(round(cast(stage.mass as double) * stage.mass / 16777216) as bigint) as square,
        drawn.label
    from ordered
    join stage using (sample)
    left join drawn using (attribute, sample)
)

select
    attribute,
    stratum,
    count(*) as size,
    cast(sum(mass) as bigint) as mass,
    cast(coalesce(max(mass) filter (where label is null), 0) as bigint) as largest,
    count(label) as labelled,
    cast(coalesce(sum(mass) filter (where label is not null), 0) as bigint) as labelled_mass,
    cast(coalesce(sum(mass) filter (where label = 1), 0) as bigint) as positive_mass,
    cast(coalesce(sum(square) filter (where label is not null), 0) as bigint) as labelled_squares,
    cast(coalesce(sum(square) filter (where label = 1), 0) as bigint) as positive_squares,
    list_last(min(place, $fewest)) as needed
from placed
group by attribute, stratum
order by attribute, stratum
