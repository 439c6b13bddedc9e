-- one row: how many samples are as asked, of which verdicts, and the rows of one page of them
-- an empty list, an empty text and null ask for nothing
with found as materialized (
    select
        row,
        verdict,
        $sign * case $sort
            when 'score' then score::double
            when 'weight' then weight
            when 'similarity' then duplicate_similarity::double
            when 'pixels' then width::double * height
            else row::double
        end as place
    from sample
    where (len($verdicts::varchar[]) = 0 or list_contains($verdicts::varchar[], verdict))
        and (len($stages::varchar[]) = 0 or list_contains($stages::varchar[], stage))
        and (len($reasons::varchar[]) = 0 or list_contains($reasons::varchar[], reason))
        and ($score_from::double is null or score >= $score_from)
        and ($score_to::double is null or score <= $score_to)
        and ($weight_from::double is null or weight >= $weight_from)
        and ($weight_to::double is null or weight <= $weight_to)
        and ($side_from::integer is null or least(width, height) >= $side_from)
        and ($side_to::integer is null or greatest(width, height) <= $side_to)
        and ($shard::varchar = '' or contains(lower(shard), lower($shard)))
        and ($uid::varchar = '' or starts_with(uid, lower($uid)) or key = $uid)
        and ($caption::varchar = '' or contains(lower(caption), lower($caption)))
),
page as (
    select row, place
    from found
    order by place nulls last, row
    limit $size offset $start
),
counted as (
    select verdict, count(*) as samples
    from found
    group by verdict
)
select
    (select count(*) from found) as samples,
    (select list({'verdict': verdict, 'samples': samples} order by samples desc, verdict) from counted) as verdicts,
    (select coalesce(list(row order by place nulls last, row), []) from page) as rows
