-- Names are matched once and remembered. A name that no call had before is matched by the insert that brings it, in SQL:
-- nothing of ours has to run between a Collector and the store. A new book matches all remembered names again.

-- A combination of names as calls have it. Nothing is stored here: the view behind matches it.
CREATE TABLE price_names_seen
(
    book String COMMENT 'against which book to match',
    provider LowCardinality(String),
    request_model LowCardinality(String),
    response_model LowCardinality(String),
    service_tier LowCardinality(String)
)
ENGINE = Null;

-- What the names mean in a book.
CREATE TABLE price_names
(
    book String COMMENT 'price_books.book',
    provider LowCardinality(String) COMMENT 'as in llm_calls, like the next three',
    request_model LowCardinality(String),
    response_model LowCardinality(String),
    service_tier LowCardinality(String),
    name_key UInt64 COMMENT 'cityHash64 of the four names: what llm_costs joins on',
    price_id String COMMENT 'price_rates.price_id; empty if the book has no such model',
    tier LowCardinality(String) COMMENT 'price_rates.tier: empty where the model has no price for that service tier'
)
ENGINE = ReplacingMergeTree
ORDER BY (book, provider, request_model, response_model, service_tier)
SETTINGS non_replicated_deduplication_window = 0;

CREATE MATERIALIZED VIEW price_names_match TO price_names AS
WITH
    -- The model that answered counts before the one that was asked for; a name as it is before one whose compact date
    -- (-20251211) is written out. The order, and which dates exist: genai_prices.types.Provider.find_model. Last, names with
    -- the vendor before them that an instrumentation or a gateway left out.
    (SELECT groupArray((value, canonical)) FROM value_aliases FINAL WHERE field = 'vendor') AS vendors,
    attempts AS
    (
        SELECT book, provider, request_model, response_model, service_tier, pair.1 AS attempt, pair.2 AS model
        FROM
        (
            SELECT
                book, provider, request_model, response_model, service_tier,
                [lower(response_model), lower(request_model)] AS plain,
                arrayMap(
                    name -> replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(name,
                        '-(20\\d{2})(0[13578]|1[02])(0[1-9]|[12]\\d|3[01])(-|:|$)', '-\\1-\\2-\\3\\4'),
                        '-(20\\d{2})(0[469]|11)(0[1-9]|[12]\\d|30)(-|:|$)', '-\\1-\\2-\\3\\4'),
                        '-(20\\d{2})(02)(0[1-9]|1\\d|2[0-8])(-|:|$)', '-\\1-\\2-\\3\\4'),
                        '-(20(?:[02468][048]|[13579][26]))(02)(29)(-|:|$)', '-\\1-\\2-\\3\\4'),
                    plain) AS dashed,
                arrayMap(
                    at_provider -> arrayFilter(
                        name -> name != '',
                        arrayMap(rule -> if(startsWith(at_provider, rule.1), concat(rule.2, substring(at_provider, length(rule.1) + 1)), ''), vendors))[1],
                    arrayMap(name -> concat(provider, '/', name), dashed)) AS whole
            FROM price_names_seen
        )
        ARRAY JOIN arrayZip([1, 2, 3, 4, 5, 6], [plain[1], dashed[1], plain[2], dashed[2], whole[1], whole[2]]) AS pair
    ),
    -- Three ways to a provider: its name; the first part of a LiteLLM model name; the look of the model's name, where no
    -- provider was recorded (genai_prices.data_snapshot.DataSnapshot.find_provider_model).
    provider_ways AS
    (
        SELECT *, way.1 AS way_name, way.2 AS way_scope, way.3 AS way_text
        FROM attempts
        ARRAY JOIN [
            ('name', 'provider', lower(trimBoth(provider))),
            ('prefix', 'provider', if(provider = 'litellm' AND position(model, '/') > 1, splitByChar('/', model)[1], '')),
            ('look', 'vendor', model)
        ] AS way
    ),
    provider_fits AS
    (
        SELECT
            w.book AS book, w.provider AS provider, w.request_model AS request_model, w.response_model AS response_model,
            w.service_tier AS service_tier, w.attempt AS attempt, w.model AS model, w.way_name AS way_name,
            m.target AS target, m.priority AS priority,
            w.way_text != '' AND m.target != ''
                AND (m.equals = '' OR w.way_text = m.equals)
                AND startsWith(w.way_text, m.starts) AND endsWith(w.way_text, m.ends)
                AND arrayAll(part -> position(w.way_text, part) > 0, m.contains)
                AND arrayAll(pattern -> match(w.way_text, pattern), m.patterns)
                AND NOT arrayExists(pattern -> match(w.way_text, pattern), m.not_patterns) AS fits
        FROM provider_ways AS w
        LEFT JOIN (SELECT * FROM price_match FINAL WHERE scope != 'model') AS m ON m.book = w.book AND m.scope = w.way_scope
    ),
    providers AS
    (
        SELECT
            book, provider, request_model, response_model, service_tier, attempt,
            argMinIf(target, priority, way_name = 'name' AND fits) AS by_name,
            argMinIf(target, priority, way_name = 'prefix' AND fits) AS by_prefix,
            argMinIf(target, priority, way_name = 'look' AND fits) AS by_look,
            multiIf(
                by_prefix != '', by_prefix,
                by_name != '', by_name,
                provider IN ('', 'litellm'), by_look,
                '') AS provider_id,
            if(by_prefix != '', substring(model, position(model, '/') + 1), model) AS text
        FROM provider_fits
        GROUP BY book, provider, request_model, response_model, service_tier, attempt, model
    ),
    model_fits AS
    (
        SELECT
            p.book AS book, p.provider AS provider, p.request_model AS request_model, p.response_model AS response_model,
            p.service_tier AS service_tier, p.attempt AS attempt, m.target AS target, m.priority AS priority,
            p.text != '' AND m.target != ''
                AND (m.equals = '' OR p.text = m.equals)
                AND startsWith(p.text, m.starts) AND endsWith(p.text, m.ends)
                AND arrayAll(part -> position(p.text, part) > 0, m.contains)
                AND arrayAll(pattern -> match(p.text, pattern), m.patterns)
                AND NOT arrayExists(pattern -> match(p.text, pattern), m.not_patterns) AS fits
        FROM providers AS p
        LEFT JOIN (SELECT * FROM price_match FINAL WHERE scope = 'model') AS m ON m.book = p.book AND m.provider = p.provider_id
    )
SELECT
    book, provider, request_model, response_model, service_tier,
    cityHash64(provider, request_model, response_model, service_tier) AS name_key,
    argMinIf(target, (attempt, priority), fits) AS price_id,
    -- A service tier that has no price of its own is billed as the standard one: what the package does with a context
    -- that no variant names (genai_prices.types.ModelInfo.get_prices).
    if((book, price_id, lower(service_tier)) IN (SELECT book, price_id, tier FROM price_rates), lower(service_tier), '') AS tier
FROM model_fits
GROUP BY book, provider, request_model, response_model, service_tier;

-- Every insert of calls asks for the names in it, those that are new. (The long query above runs only when there are any.)
CREATE MATERIALIZED VIEW price_names_of_calls TO price_names_seen AS
WITH (SELECT argMax(book, applied_at) FROM price_books) AS current
SELECT DISTINCT current AS book, provider, request_model, response_model, service_tier
FROM llm_calls
WHERE billable AND cityHash64(provider, request_model, response_model, service_tier) NOT IN
(
    SELECT name_key FROM price_names WHERE book = current
);
