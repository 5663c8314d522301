-- Sixty words by frequency, as language has them, after a template that all texts of a prompt share.
INSERT INTO llm_texts
WITH i -> toUInt32(pow(sipHash64(span_id, i) / 18446744073709551616., 4) * 20000) AS word
SELECT
    trace_id, span_id, ts,
    concat('[{"role":"system","content":"You answer as ', prompt_name, ' of the house. Be short, name your sources, and say so if you do not know."},',
        '{"role":"user","content":"', arrayStringConcat(arrayMap(i -> concat(
            ['ka', 'lo', 'mi', 'ren', 'tus', 'vel', 'dor', 'sin'][word(i) % 8 + 1],
            ['ba', 'den', 'fi', 'gor', 'hal', 'jun', 'kes', 'lum'][intDiv(word(i), 8) % 8 + 1],
            if(word(i) > 63, ['na', 'pol', 'qui', 'ros', 'ste', 'tri', 'um', 'wex'][intDiv(word(i), 64) % 8 + 1], ''),
            if(word(i) > 511, toString(intDiv(word(i), 512)), '')), range(60)), ' '),
        if(number % {rare_every:UInt64} = 0, ' {rare}', ''), '"}]') AS input_text,
    concat('[{"role":"assistant","content":"', substring(input_text, 200, 160), '"}]') AS output_text
FROM
(
    SELECT trace_id, span_id, ts, prompt_name, rowNumberInAllBlocks() AS number
    FROM llm_calls
    WHERE cityHash64(span_id) % {every:UInt64} = 0 AND ts >= {since:DateTime64(9, 'UTC')} AND ts < {until:DateTime64(9, 'UTC')}
)
