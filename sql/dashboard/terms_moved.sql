-- one row a term that is audited in both versions: how many kept captions have it, as shares, and how the share changed
with side as (
    select
        after.term,
        before.n_kept as before,
        after.n_kept as after,
        before.n_kept / nullif($kept_before::double, 0) as share_before,
        after.n_kept / nullif($kept_after::double, 0) as share_after,
        after.keyword
    from words_after as after
    join words_before as before on before.term = after.term
    where greatest(before.n_kept, after.n_kept) >= $least
        and ($search::varchar = '' or contains(after.term, lower($search)))
)
select
    term,
    before,
    after,
    share_before,
    share_after,
    share_after / nullif(share_before, 0) - 1 as change,
    keyword
from side
order by keyword desc, abs(share_after / nullif(share_before, 0) - 1) desc nulls last, before desc, term
limit $most
