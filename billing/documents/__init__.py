"""Documents as files: PDF and e-invoice, made from what is frozen, and stored once.

`wording` has the words of each language, `content` says what stands where, `einvoice` the same as
EN 16931 has it (all pure); `typesetting` makes PDFs by typst; `storage` keeps octets, `archive`
knows which, and makes what is not there yet.
"""
