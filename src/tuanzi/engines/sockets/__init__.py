"""Engines that keep the promise of `tuanzi.machinery.push.sockets.Socket`."""
