"""Engines that keep the promise of `tuanzi.machinery.workqueue.WorkQueue`."""
