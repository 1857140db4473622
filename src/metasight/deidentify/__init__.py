"""De-identification: DICOM, slides and tables of patients made fit to leave the hospital.

Two halves that share data and no code. The first makes new files from the old ones
(:mod:`metasight.deidentify.batch`): a new file holds what is known to be safe and nothing else. The
second (:mod:`metasight.deidentify.check`) reads the new files back and looks for whatever it finds
of the patients in the old ones. Pseudonyms, UIDs and the shift of dates derive from one key file
(:mod:`metasight.deidentify.key`); who has no key can link nothing.
"""
