"""Who issues documents: the operator's legal entities, with what their documents say and how.

`entity` says what one is (pure), `entityfile` reads one from a file, `register` keeps them.
"""
