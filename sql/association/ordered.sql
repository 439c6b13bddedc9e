-- one row per sample of a labelled attribute's frame: its place in its stratum's random order, which the seed alone decides
select
    frame.attribute,
    frame.stratum,
    frame.sample,
    row_number() over (
        partition by frame.attribute, frame.stratum
        order by md5(concat(design.seed, ':', sample.uid))
    ) as place
from frame
join design using (attribute)
join sample using (sample)
