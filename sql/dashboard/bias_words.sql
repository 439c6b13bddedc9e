-- one row a word or phrase that fits, in the order asked; matching: how many fit in all
select *, count(*) over () as matching
from words
where
    contains(term, $search)
    and n_pool >= $least
    and n_words <= $longest
    and (significant or not $significant)
    and (keyword or not $asked)
order by
    case $by
        when 'change_filter' then abs(change_filter)
        when 'change_dedup' then abs(change_dedup)
        when 'change' then abs(change)
        when 'change_weighted' then abs(change_weighted)
        when 'removal_odds_ratio' then
            case when removal_odds_ratio = 0 then 'infinity'::double else abs(ln(removal_odds_ratio)) end
        when 'n_pool' then n_pool
    end desc nulls last,
    n_pool desc,
    term
limit $rows
offset $skip
