-- one row per keyword, and per other term that enough captions of the pool have
select
    vocabulary.term as term_id,
    vocabulary.word as term,
    vocabulary.keyword,
    coalesce(counted.n_pool, 0) as n_pool,
    coalesce(counted.n_units, 0) as n_units,
    coalesce(counted.reference, 0) as reference,
    coalesce(counted.n_after_filter, 0) as n_after_filter,
    coalesce(counted.n_kept, 0) as n_kept,
    coalesce(counted.mass, 0) as mass,
    coalesce(counted.squares, 0) as squares,
    coalesce(counted.kept_squares, 0) as kept_squares,
    coalesce(counted.crossed, 0) as crossed
from vocabulary
left join counted using (term)
where vocabulary.keyword or counted.n_pool >= $min_count
order by n_pool desc, vocabulary.word
