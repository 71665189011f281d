"""Numbers of the steps: whoever changes what a step makes raises its number, and what older code made is made anew.

A number is raised when the same inputs give other values, or the files have another form; not when code moves, is said
otherwise or gets faster. The sources of extractors, model types, corpora and the synthesiser need no number: what they
make follows them by itself (`ser.code_identity`).
"""

CORPUS_FORMAT = 4
"""Of a corpus folder: how zips are unpacked, recordings decoded (`ser.audio.recordings`), described and written."""
FEATURES_FORMAT = 2
"""Of a feature folder: how clips are cut, normalised, spoken by virtual speakers and written (`ser.features.frontend`,
`ser.audio.virtual_speakers`, `ser.steps.feature_extraction`)."""
TRAINING_FORMAT = 1
"""Of a model and of what is judged of a fold: how recordings are split, standardised, learnt from and exported
(`ser.evaluation.split`, `ser.features.training_set`, `ser.speakers.statistics`, `ser.networks.training_loop`,
`ser.networks.export`, `ser.steps`)."""
REPORT_FORMAT = 1
"""Of a report: figures, pictures and pages (`ser.evaluation`)."""
