import { api } from "../_generated/api";

export const draw = api.images.generateImage; // TS2339
export const pay = api.payments.processPaidOrder; // TS2339
