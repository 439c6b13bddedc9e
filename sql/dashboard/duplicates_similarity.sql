-- one row a kind of pair and bin of similarity, of $bins equal bins from $low to 1, the last of which holds 1
with binned as (
    select
        if(step = -1, 'exact copies', 'near-duplicates') as kind,
        least(cast(floor((similarity - $low) / (1 - $low) * $bins) as integer), $bins - 1) as bin
    from pairs
    where similarity >= $low
)

select
    kind,
    $low + (1 - $low) * bin / $bins as low,
    $low + (1 - $low) * (bin + 1) / $bins as high,
    count(*) as pairs
from binned
group by kind, bin
order by kind, bin
