"""metasight: a metastasis-risk study from protocol to report.

Research software, not a medical device.
"""

__version__ = "0.2.0"
