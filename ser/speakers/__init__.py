"""Who speaks, as a model can know it.

statistics  sums over features of a speaker's clips, and what a model is told of them
enrolment   those who enrolled for a model, kept beside it
"""
