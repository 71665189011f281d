"""Bytes at rest and on their way: files that are whole or absent, object stores, addresses, zips.

files            writes, replacements and locks that a kill cannot leave half done
stamps           what a folder was made from, and whether it still is
scratch          temporary folders that are gone afterwards
stored_file      reads of a folder's files, bounded, with errors that name them
arrays           plain arrays in .npz files, checked against what is expected
row_file         rows that do not fit into memory
strict_json      JSON in one way of reading, and fingerprints
yaml_file        YAML, safe and bounded
stores           a place by its address: a folder, or an object store
access           which addresses may be fetched
archive          zips, checked before and while they are unpacked
archive_members  which members a zip may have
archive_content  what a member may contain
"""
