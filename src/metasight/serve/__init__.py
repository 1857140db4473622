"""The workbench: a study, its patients and its slides in a browser on the hospital's own machine.

``metasight serve STUDY`` shows what the typed results of the last run hold. It measures and fits
nothing, and asks no other host for anything. Who may see it is decided in :mod:`.reach` (which
interfaces), :mod:`.accounts` and :mod:`.sessions` (who), and :mod:`.gate` (every request); what was
seen and decided stands in :mod:`.audit`.
"""
