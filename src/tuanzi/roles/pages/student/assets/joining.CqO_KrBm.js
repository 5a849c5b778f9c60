let o;function n(n){o=n}function t(n){const t=(null==o?void 0:o.groupId)===n?o:void 0;return t&&(o=void 0),t}export{t,n as w};
