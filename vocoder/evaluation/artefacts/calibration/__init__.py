"""How weak an artefact each detector finds, and how often it is wrong about clean recordings."""
