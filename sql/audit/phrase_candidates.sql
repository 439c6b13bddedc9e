-- one row per phrase (as term) and sample whose caption holds all of the phrase's words, in whatever order
with wanted as (
    select phrase, count(*) as words
    from phrase_word
    group by phrase
)

select phrase_word.phrase as term, token.sample
from token
join phrase_word using (term)
join wanted using (phrase)
group by phrase_word.phrase, token.sample
having count(*) = any_value(wanted.words)
order by phrase_word.phrase, token.sample
