"""Objective measures of resynthesised speech, one file each, and the report over a folder."""
