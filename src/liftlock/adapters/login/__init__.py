"""Identity providers by authlib: an extra, imported where a sign-in file names one."""
