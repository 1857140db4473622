"""Results in the formats that hospitals and archives read: DICOM, FHIR, QuPath, tables, RO-Crate.

Nothing is measured or predicted here. What leaves carries the study's pseudonym and no other
identifier; DICOM objects name the images that they were made on, and only where that is asked for.
"""
