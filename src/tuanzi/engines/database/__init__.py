"""Engines that keep the promise of `tuanzi.machinery.database.Database`."""
