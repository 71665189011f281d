"""The four steps, each a function over folders and a validated config.

    download            an address          -> corpus folder      ser.steps.download.download
    feature extraction  corpus folder       -> feature folder     ser.steps.feature_extraction.extract_features
    training            feature folder      -> model bundle       ser.steps.training.train
    evaluation          bundle (, features) -> metrics, report    ser.steps.evaluation.evaluate

The library, the command line, the pipeline's components and the server all call these and hold no logic of
their own. They are imported one by one: the download step runs where no TensorFlow is installed.
"""
