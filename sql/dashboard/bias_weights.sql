-- one row: the kept samples' weights: how many, their mean, and quantiles
select
    count(weight) as samples,
    avg(weight) as mean,
    quantile_cont(weight, [0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1]) as quantiles
from decision
where verdict = 'kept'
