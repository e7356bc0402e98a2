"""A fuzzer of everything that Sitebridge reads: the wire, configuration, embedding tables and cohorts.

The contract of every reader: any bytes give either an object or a `SitebridgeError` of a few lines of print, which
holds nothing of a cohort, within bounded time and memory. `contract` judges it, `mutate` breaks good inputs, and the
module of each target has its readers with their good inputs. tests/fuzz does the same for seconds, with hypothesis.
"""
