"""The steps of a study: each reads the results of others, calls one stage, writes its result.

No step computes anything itself; what a step does is in the stage it calls. Steps run in worker
processes, so each is a module-level function of (input folders, folder to fill, argument).
"""
