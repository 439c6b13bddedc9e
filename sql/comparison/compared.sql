-- one row per keyword, and per other term that enough captions of either side have: captions with it and their mass
-- n_both: on both sides; squares: captions of the reference a near-duplicate group, squared and summed; crossed: times all
-- of the reference's samples of that group, summed (for the design effects of a term and of what lacks it)
with counted as (
    select
        term,
        cast(sum(n_reference) as bigint) as n_reference,
        cast(sum(n_subject) as bigint) as n_subject,
        cast(sum(n_both) as bigint) as n_both,
        cast(sum(n_reference * n_reference) as bigint) as squares,
        cast(sum(n_reference * unit_n) as bigint) as crossed,
        cast(sum(reference) as bigint) as reference,
        cast(sum(subject) as bigint) as subject
    from held
    group by term
)

select
    vocabulary.term as term_id,
    vocabulary.word as term,
    vocabulary.n_words,
    vocabulary.keyword,
    coalesce(counted.n_reference, 0) as n_reference,
    coalesce(counted.n_subject, 0) as n_subject,
    coalesce(counted.n_both, 0) as n_both,
    coalesce(counted.squares, 0) as squares,
    coalesce(counted.crossed, 0) as crossed,
    coalesce(counted.reference, 0) as reference,
    coalesce(counted.subject, 0) as subject
from vocabulary
left join counted using (term)
where vocabulary.keyword or greatest(counted.n_reference, counted.n_subject) >= $min_count
order by n_reference desc, vocabulary.word
