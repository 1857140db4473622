"""Scans: DICOM and NIfTI in patient coordinates, masks on their grid, PET as SUV, CT quality."""
