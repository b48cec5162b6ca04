import SSE from './index.js';

export default SSE;
export { SSE };
export import Client = SSE.Client;
